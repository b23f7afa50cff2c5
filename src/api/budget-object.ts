import { z } from 'zod';
import { label } from './fields.ts';
import { type ConnectionBudgetSpec, connectionBudgetSpec } from './connection-budget.ts';
import { apiVersion } from './names.ts';
import { fieldFor, type Violation, violationsOf } from './violations.ts';

/** A ConnectionBudget as a file, the API server or an AdmissionReview carries it. */
export interface ConnectionBudget {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly spec: ConnectionBudgetSpec;
}

export type ParsedBudget =
  | {
      readonly budget: ConnectionBudget;
      readonly violations?: undefined;
      /** Fields of another version that were left out; only of what the API server handed out. */
      readonly unknownFields?: readonly string[];
    }
  | { readonly budget?: undefined; readonly violations: readonly Violation[]; readonly unknownFields?: undefined };

/** RFC 1123 subdomain, as the API server names objects; generateName may end in "-". */
const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/, {
    error: 'must be an RFC 1123 name: lower-case letters, digits, "-" and "."',
  });

const metadata = z
  .object({
    name: objectName.optional(),
    generateName: z.string().optional(),
    namespace: label('Namespace of the budget.').optional(),
    labels: z.record(z.string(), z.string()).nullish(),
    uid: z.string().optional(),
    generation: z.int().optional(),
    creationTimestamp: z.string().nullish(),
  })
  .refine(({ name, generateName }) => name !== undefined || generateName !== undefined, {
    error: 'is required',
    path: ['name'],
  });

const budgetObject = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('ConnectionBudget'),
  metadata,
  spec: connectionBudgetSpec,
  status: z.unknown().optional(),
});

const budgetOf = ({ metadata: meta, spec }: z.output<typeof budgetObject>): ConnectionBudget => ({
  namespace: meta.namespace ?? 'default',
  name: meta.name ?? meta.generateName ?? '',
  uid: meta.uid ?? '',
  generation: meta.generation ?? 0,
  creationTimestamp: meta.creationTimestamp ?? '',
  spec,
});

/** The one checker of the command, the webhook and the controller: every broken rule, or the budget with its defaults. */
export const parseConnectionBudget = (input: unknown): ParsedBudget => {
  const parsed = budgetObject.safeParse(input);
  return parsed.success ? { budget: budgetOf(parsed.data) } : { violations: violationsOf(input, parsed.error) };
};

type UnknownKeys = z.core.$ZodIssueUnrecognizedKeys;

/** A copy along the path alone: what stands elsewhere may be nested more deeply than the stack. */
const without = (value: unknown, [key, ...rest]: readonly PropertyKey[], keys: ReadonlySet<string>): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (key === undefined) return Object.fromEntries(Object.entries(value).filter(([name]) => !keys.has(name)));
  const changed = without(Reflect.get(value, key), rest, keys);
  return Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed };
};

const withoutKeys = (input: unknown, issues: readonly UnknownKeys[]): unknown =>
  issues.reduce<unknown>((value, { path, keys }) => without(value, path, new Set(keys)), input);

/** More are left out all the same: a warning is for people. */
const mostNamed = 16;

/**
 * The same for what the API server hands out. It has pruned what its own definition does not know, so that a field that is
 * unknown here comes from a newer definition: it is left out and named (docs/decisions/0042-fields-of-a-newer-version.md).
 */
export const parseServedBudget = (input: unknown): ParsedBudget => {
  const parsed = budgetObject.safeParse(input);
  if (parsed.success) return { budget: budgetOf(parsed.data) };
  const unknown = parsed.error.issues.filter((issue) => issue.code === 'unrecognized_keys');
  const known = parseConnectionBudget(unknown.length === 0 ? input : withoutKeys(input, unknown));
  const unknownFields = unknown.flatMap(({ path, keys }) => keys.map((key) => fieldFor([...path, key])));
  return known.budget === undefined ? known : { ...known, unknownFields: unknownFields.slice(0, mostNamed) };
};
