import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { type ConnectionBudget, parseConnectionBudget } from '../api/budget-object.ts';
import type { Observed, ObservedService } from '../api/demand.ts';
import {
  type EndpointSliceObject,
  observedServiceFor,
  parseEndpointSlice,
  parseService,
  serviceNameLabel,
} from '../api/observed-service.ts';
import { violationText } from '../api/violations.ts';

/** Bad input: exit status 2. The message names file, field, value and rule, a line each. */
export class InputError extends Error {
  readonly kind = 'Input';
}

/** A file's budgets, with what the same file says of the Services that they reach. */
export interface BudgetFile {
  readonly budgets: readonly ConnectionBudget[];
  readonly observedFor: (budget: ConnectionBudget) => Observed;
}

const contentOf = async (file: string): Promise<string> => {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (cause) {
    throw new InputError(`${file}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
};

const manifest = z.looseObject({
  kind: z.string(),
  metadata: z
    .looseObject({
      name: z.string().optional(),
      namespace: z.string().optional(),
      labels: z.record(z.string(), z.string()).nullish(),
    })
    .optional(),
  items: z.array(z.unknown()).optional(),
});
type Manifest = z.output<typeof manifest>;

const flatten = (object: unknown): readonly Manifest[] => {
  const parsed = manifest.safeParse(object);
  if (!parsed.success) return [];
  const { kind, items } = parsed.data;
  return kind.endsWith('List') && items !== undefined ? items.flatMap(flatten) : [parsed.data];
};

const documentsOf = (file: string, content: string): readonly Manifest[] => {
  const documents = parseAllDocuments(content, { prettyErrors: true });
  return [...documents].flatMap((document) => {
    const fault = document.errors[0];
    if (fault !== undefined) throw new InputError(`${file}: is not YAML: ${fault.message.split('\n')[0] ?? ''}`);
    return flatten(document.toJS());
  });
};

const keyOf = (namespace: string | undefined, name: string | undefined): string =>
  `${namespace ?? 'default'}/${name ?? ''}`;

const slicesByService = (documents: readonly Manifest[]): ReadonlyMap<string, readonly EndpointSliceObject[]> => {
  const slices = new Map<string, EndpointSliceObject[]>();
  for (const { kind, metadata, ...rest } of documents) {
    const slice = kind === 'EndpointSlice' ? parseEndpointSlice(rest) : undefined;
    if (slice === undefined) continue;
    const key = keyOf(metadata?.namespace, metadata?.labels?.[serviceNameLabel]);
    slices.set(key, [...(slices.get(key) ?? []), slice]);
  }
  return slices;
};

const servicesOf = (documents: readonly Manifest[]): ReadonlyMap<string, ObservedService> => {
  const slices = slicesByService(documents);
  const services = new Map<string, ObservedService>();
  for (const { kind, metadata, ...rest } of documents) {
    const service = kind === 'Service' ? parseService(rest) : undefined;
    if (service === undefined) continue;
    const key = keyOf(metadata?.namespace, metadata?.name);
    services.set(key, observedServiceFor(service, slices.get(key) ?? []));
  }
  return services;
};

const budgetOf = (file: string, document: Manifest): ConnectionBudget => {
  const { budget, violations } = parseConnectionBudget(document);
  if (budget !== undefined) return budget;
  const name = keyOf(document.metadata?.namespace, document.metadata?.name);
  throw new InputError(violations.map((violation) => `${file}: ${name}: ${violationText(violation)}`).join('\n'));
};

/** @throws InputError when the file cannot be read, is no YAML, holds no budget, or one of them breaks a rule. */
export const readBudgets = async (file: string): Promise<BudgetFile> => {
  const documents = documentsOf(file, await contentOf(file));
  const declared = documents.filter(({ kind }) => kind === 'ConnectionBudget');
  if (declared.length === 0) throw new InputError(`${file}: holds no ConnectionBudget`);
  const services = servicesOf(documents);
  return {
    budgets: declared.map((document) => budgetOf(file, document)),
    observedFor: ({ namespace }) => ({ namespace, services, clientPods: new Map() }),
  };
};
