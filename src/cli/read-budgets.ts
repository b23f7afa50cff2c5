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
import { contentOf, InputError, yamlDocuments } from './input-file.ts';

/** A file's budgets, with what the same file says of the Services that they reach. */
export interface BudgetFile {
  readonly budgets: readonly ConnectionBudget[];
  readonly observedFor: (budget: ConnectionBudget) => Observed;
}

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

/** Of the file's content. @throws InputError when it is no YAML, holds no budget, or one of them breaks a rule. */
export const parseBudgets = (file: string, content: string): BudgetFile => {
  const documents = yamlDocuments(file, content).flatMap(flatten);
  const declared = documents.filter(({ kind }) => kind === 'ConnectionBudget');
  if (declared.length === 0) throw new InputError(`${file}: holds no ConnectionBudget`);
  const services = servicesOf(documents);
  return {
    budgets: budgetsOf(file, declared),
    observedFor: ({ namespace }) => ({ namespace, services, clientPods: new Map() }),
  };
};

/** @throws InputError, also when the file cannot be read. */
export const readBudgets = async (file: string): Promise<BudgetFile> => parseBudgets(file, await contentOf(file));
