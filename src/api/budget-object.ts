import { z } from 'zod';
import { label } from './fields.ts';
import { type ConnectionBudgetSpec, connectionBudgetSpec } from './connection-budget.ts';
import { apiVersion } from './names.ts';
import { type Violation, violationsOf } from './violations.ts';

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
  | { readonly budget: ConnectionBudget; readonly violations?: undefined }
  | { readonly budget?: undefined; readonly violations: readonly Violation[] };

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

/** The one checker of the command, the webhook and the controller: every broken rule, or the budget with its defaults. */
export const parseConnectionBudget = (input: unknown): ParsedBudget => {
  const parsed = budgetObject.safeParse(input);
  if (!parsed.success) return { violations: violationsOf(input, parsed.error) };
  const { metadata: meta, spec } = parsed.data;
  return {
    budget: {
      namespace: meta.namespace ?? 'default',
      name: meta.name ?? meta.generateName ?? '',
      uid: meta.uid ?? '',
      generation: meta.generation ?? 0,
      creationTimestamp: meta.creationTimestamp ?? '',
      spec,
    },
  };
};
