import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { nodeFacts } from '../api/connection-node.ts';
import { violationsOf, violationText } from '../api/violations.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { InputError } from './read-budgets.ts';

/** What `connection-budget node` prints and `plan --node` reads: the facts of one node. */
const nodeFile = z.strictObject({ kind: z.literal('NodeFacts'), facts: nodeFacts });

export const nodeJson = (facts: NodeFacts): z.input<typeof nodeFile> => ({ kind: 'NodeFacts', facts });

/** @throws InputError */
export const readNodeFile = async (file: string): Promise<NodeFacts> => {
  let content: unknown;
  try {
    content = parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new InputError(`${file}: cannot be read as YAML or JSON`, { cause });
  }
  const parsed = nodeFile.safeParse(content);
  if (parsed.success) return parsed.data.facts;
  throw new InputError(
    violationsOf(content, parsed.error)
      .map((entry) => `${file}: ${violationText(entry)}`)
      .join('\n'),
  );
};
