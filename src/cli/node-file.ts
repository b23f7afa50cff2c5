import { z } from 'zod';
import { nodeFacts } from '../api/connection-node.ts';
import { violationsOf, violationText } from '../api/violations.ts';
import type { NodeFacts } from '../planner/demand.ts';
import { contentOf, InputError, yamlDocuments } from './input-file.ts';

/** What `connection-budget node` prints and `plan --node` reads: the facts of one node. */
const nodeFile = z.strictObject({ kind: z.literal('NodeFacts'), facts: nodeFacts });

export const nodeJson = (facts: NodeFacts): z.input<typeof nodeFile> => ({ kind: 'NodeFacts', facts });

/** Of the file's content. @throws InputError */
export const parseNodeFile = (file: string, text: string): NodeFacts => {
  const [content, ...others] = yamlDocuments(file, text);
  if (others.length > 0) throw new InputError(`${file}: must be one document, not ${others.length + 1}`);
  const parsed = nodeFile.safeParse(content);
  if (parsed.success) return parsed.data.facts;
  throw new InputError(
    violationsOf(content, parsed.error)
      .map((entry) => `${file}: ${violationText(entry)}`)
      .join('\n'),
  );
};

/** @throws InputError, also when the file cannot be read. */
export const readNodeFile = async (file: string): Promise<NodeFacts> => parseNodeFile(file, await contentOf(file));
