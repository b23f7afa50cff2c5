import { printable } from '../api/printable.ts';
import type { JsonPatchStep } from '../kube/calls.ts';
import { textWithoutManagedFields } from '../kube/managed-fields.ts';

/** AdmissionReview admission.k8s.io/v1: what the API server asks and what it is answered. */

const apiVersion = 'admission.k8s.io/v1';
const kind = 'AdmissionReview';

const operations = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'] as const;
type Operation = (typeof operations)[number];

export interface AdmissionRequest {
  /** 1 to 128 characters. */
  readonly uid: string;
  readonly operation: Operation;
  /** "" for what is not namespaced. */
  readonly namespace: string;
  readonly subResource: string;
  readonly object?: unknown;
  readonly oldObject?: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isOperation = (value: unknown): value is Operation => operations.some((operation) => operation === value);

/** By hand, for it stands before every pod of the cluster: a schema's answer takes as long as the whole decision. */
const requestOf = ({ uid, operation, namespace = '', subResource = '', object, oldObject }: Fields) => {
  if (typeof uid !== 'string' || uid.length === 0 || uid.length > 128 || !isOperation(operation)) return undefined;
  if (typeof namespace !== 'string' || namespace.length > 253 || typeof subResource !== 'string') return undefined;
  return { uid, operation, namespace, subResource, object, oldObject };
};

const reviewOf = (json: unknown): AdmissionRequest | undefined => {
  if (!isFields(json) || json['apiVersion'] !== apiVersion || json['kind'] !== kind) return undefined;
  return isFields(json['request']) ? requestOf(json['request']) : undefined;
};

/** undefined: no AdmissionReview v1. */
export const parseReview = (body: Buffer): AdmissionRequest | undefined => {
  try {
    return reviewOf(JSON.parse(textWithoutManagedFields(body)));
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

/** kubectl shows it on a terminal; what it tells of a pod is its author's. */
const warningText = (warning: string): string => {
  const text = printable(warning);
  return text.length > longestWarning ? `${text.slice(0, longestWarning - 1)}…` : text;
};

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

/** JSON in ASCII: as many bytes as characters, and written without a conversion. */
const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** `"allowed":true,…`: what follows the uid in a response. */
const fieldsAfterUid = (admission: Admission): string => {
  const warnings = admission.warnings.slice(0, mostWarnings).map(warningText);
  const fields = { ...verdict(admission), ...(warnings.length === 0 ? {} : { warnings }) };
  return asciiJson(fields).slice(1, -1);
};

/** An admission that is answered again is not written again. */
const written = new WeakMap<Admission, string>();

/** In ASCII. */
export const reviewResponse = (uid: string, admission: Admission): string => {
  const fields = written.get(admission) ?? fieldsAfterUid(admission);
  written.set(admission, fields);
  const response = `{"uid":${asciiJson(uid)},${fields}}`;
  return `{"apiVersion":"${apiVersion}","kind":"${kind}","response":${response}}`;
};
