import { z } from 'zod';
import type { JsonPatchStep } from '../kube/calls.ts';

/** AdmissionReview admission.k8s.io/v1: what the API server asks and what it is answered. */

const request = z.object({
  uid: z.string().min(1).max(128),
  operation: z.enum(['CREATE', 'UPDATE', 'DELETE', 'CONNECT']),
  namespace: z.string().max(253).default(''),
  subResource: z.string().default(''),
  object: z.unknown().optional(),
  oldObject: z.unknown().optional(),
});
export type AdmissionRequest = z.output<typeof request>;

const review = z.object({
  apiVersion: z.literal('admission.k8s.io/v1'),
  kind: z.literal('AdmissionReview'),
  request,
});

/** undefined: no AdmissionReview v1. */
export const parseReview = (text: string): AdmissionRequest | undefined => {
  try {
    return review.safeParse(JSON.parse(text)).data?.request;
  } catch {
    return undefined;
  }
};

interface Refusal {
  readonly message: string;
  readonly causes: readonly { readonly field: string; readonly message: string }[];
}

/** What was decided about one request. */
export type Admission = { readonly warnings: readonly string[] } & (
  | { readonly result: 'Allowed' }
  | { readonly result: 'Patched'; readonly patch: readonly JsonPatchStep[] }
  | { readonly result: 'Refused'; readonly refusal: Refusal }
);

/** The API server cuts a warning at 256 characters, and drops what exceeds 4,096 in all. */
const longestWarning = 256;
const mostWarnings = 12;

const warningText = (warning: string): string =>
  warning.length > longestWarning ? `${warning.slice(0, longestWarning - 1)}…` : warning;

const patched = (patch: readonly JsonPatchStep[]): object => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
});

const refused = ({ message, causes }: Refusal): object => ({
  allowed: false,
  status: {
    code: 422,
    reason: 'Invalid',
    message,
    details: { causes: causes.map((cause) => ({ reason: 'FieldValueInvalid', ...cause })) },
  },
});

const verdict = (admission: Admission): object => {
  if (admission.result === 'Patched') return patched(admission.patch);
  return admission.result === 'Refused' ? refused(admission.refusal) : { allowed: true };
};

export const reviewResponse = (uid: string, admission: Admission): string => {
  const warnings = admission.warnings.slice(0, mostWarnings).map(warningText);
  const response = { uid, ...verdict(admission), ...(warnings.length === 0 ? {} : { warnings }) };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
};
