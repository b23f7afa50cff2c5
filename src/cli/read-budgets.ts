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
import { type Violation, violationText } from '../api/violations.ts';

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

const manifest = z.looseObject({ kind: z.string(), items: z.array(z.unknown()).optional() });
type Manifest = z.output<typeof manifest>;

/** Names and labels, as far as they are as they should be; what is wrong with a budget's the checker says. */
const named = z.object({
  metadata: z.object({
    name: z.string().optional(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).nullish(),
  }),
});

const metadataOf = (document: Manifest) => named.safeParse(document).data?.metadata;

const flatten = (object: unknown): readonly Manifest[] => {
  const parsed = manifest.safeParse(object);
  if (!parsed.success) return [];
  const { kind, items } = parsed.data;
  return kind.endsWith('List') && items !== undefined ? items.flatMap(flatten) : [parsed.data];
};

const notYaml = (file: string, fault: unknown): InputError => {
  const [line = ''] = (fault instanceof Error ? fault.message : String(fault)).split('\n');
  return new InputError(`${file}: is not YAML: ${line.replace(/:$/, '')}`, { cause: fault });
};

const documentsOf = (file: string, content: string): readonly Manifest[] => {
  const documents = parseAllDocuments(content, { prettyErrors: true, merge: true });
  return [...documents].flatMap((document) => {
    if (document.errors[0] !== undefined) throw notYaml(file, document.errors[0]);
    try {
      return flatten(document.toJS());
    } catch (fault) {
      throw notYaml(file, fault);
    }
  });
};

const keyOf = (namespace: string | undefined, name: string | undefined): string =>
  `${namespace ?? 'default'}/${name ?? ''}`;

const slicesByService = (documents: readonly Manifest[]): ReadonlyMap<string, readonly EndpointSliceObject[]> => {
  const slices = new Map<string, EndpointSliceObject[]>();
  for (const document of documents) {
    const slice = document.kind === 'EndpointSlice' ? parseEndpointSlice(document) : undefined;
    if (slice === undefined) continue;
    const metadata = metadataOf(document);
    const key = keyOf(metadata?.namespace, metadata?.labels?.[serviceNameLabel]);
    slices.set(key, [...(slices.get(key) ?? []), slice]);
  }
  return slices;
};

const servicesOf = (documents: readonly Manifest[]): ReadonlyMap<string, ObservedService> => {
  const slices = slicesByService(documents);
  const services = new Map<string, ObservedService>();
  for (const document of documents) {
    const service = document.kind === 'Service' ? parseService(document) : undefined;
    if (service === undefined) continue;
    const metadata = metadataOf(document);
    const key = keyOf(metadata?.namespace, metadata?.name);
    services.set(key, observedServiceFor(service, slices.get(key) ?? []));
  }
  return services;
};

const faultsOf = (file: string, document: Manifest, violations: readonly Violation[]): readonly string[] => {
  const metadata = metadataOf(document);
  return violations.map(
    (violation) => `${file}: ${keyOf(metadata?.namespace, metadata?.name)}: ${violationText(violation)}`,
  );
};

/** All of them, or every fault of every one. */
const budgetsOf = (file: string, documents: readonly Manifest[]): readonly ConnectionBudget[] => {
  const parsed = documents.map((document) => ({ document, ...parseConnectionBudget(document) }));
  const faults = parsed.flatMap(({ document, violations }) => faultsOf(file, document, violations ?? []));
  if (faults.length > 0) throw new InputError(faults.join('\n'));
  return parsed.flatMap(({ budget }) => budget ?? []);
};

/** @throws InputError when the file cannot be read, is no YAML, holds no budget, or one of them breaks a rule. */
export const readBudgets = async (file: string): Promise<BudgetFile> => {
  const documents = documentsOf(file, await contentOf(file));
  const declared = documents.filter(({ kind }) => kind === 'ConnectionBudget');
  if (declared.length === 0) throw new InputError(`${file}: holds no ConnectionBudget`);
  const services = servicesOf(documents);
  return {
    budgets: budgetsOf(file, declared),
    observedFor: ({ namespace }) => ({ namespace, services, clientPods: new Map() }),
  };
};
