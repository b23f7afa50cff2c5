import * as z from 'zod';

/**
 * Building blocks of the schemas. What zod cannot say in a Kubernetes schema (list types, CEL) travels as metadata under
 * the names that a CRD uses, so that one schema yields types, defaults, messages and the CRD.
 */

/** z.int() ends at 2^53 − 1, here and as the CRD's maximum. */
export const count = (description: string) => z.int().min(1).meta({ description });
export const countOrZero = (description: string) => z.int().min(0).meta({ description });
export const portNumber = (description: string) => z.int().min(1).max(65535).meta({ description });

/** RFC 1123 label, as Kubernetes names containers. */
export const label = (description: string) =>
  z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, {
      error: 'must be an RFC 1123 label: lower-case letters, digits and "-"',
    })
    .meta({ description });

/** As Multus takes it: labels, with the namespace before a slash where it is not that of the pod. */
export const attachmentName = z
  .string()
  .min(1)
  .max(127)
  .regex(/^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, {
    error: 'must be an RFC 1123 label, or two with "/" between: namespace/name',
  })
  .meta({
    description:
      'NetworkAttachmentDefinition for provider Multus: name, or namespace/name where it is not in the namespace of the pods.',
  });

/** Kubernetes' own quantity syntax, for bytes; suffixes as in k8s.io/apimachinery/pkg/api/resource. Never negative. */
export const quantityPattern = /^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$/;

export const byteQuantity = (description: string) =>
  z
    .union([z.string(), z.int().min(0)])
    .refine((value) => typeof value === 'number' || quantityPattern.test(value), {
      error: 'must be a quantity of bytes, 0 or more, such as 16Ki',
    })
    .meta({ description, 'x-kubernetes-int-or-string': true, pattern: quantityPattern.source, minimum: 0 });

/** A rule over several fields: `holds` judges it here, `cel` in the API server; both say `message`. */
export interface Rule<T> {
  readonly cel: string;
  readonly message: string;
  /** The field that the message belongs to. */
  readonly field?: string;
  /** A CEL expression for a message that names the offending value; `message` where it fails. */
  readonly celMessage?: string;
  readonly holds: (value: T) => boolean;
  /** The path of the offending value, where it lies deeper than `field`. */
  readonly culprit?: (value: T) => readonly (string | number)[];
}

export const withRules = <S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S =>
  schema
    .superRefine((value, context) => {
      for (const rule of rules) {
        if (rule.holds(value)) continue;
        const path = rule.culprit?.(value) ?? (rule.field === undefined ? [] : [rule.field]);
        context.addIssue({ code: 'custom', message: rule.message, path: [...path] });
      }
    })
    .meta({
      ...schema.meta(),
      'x-kubernetes-validations': rules.map(({ cel, message, field, celMessage }) => ({
        rule: cel,
        message,
        ...(celMessage === undefined ? {} : { messageExpression: celMessage }),
        ...(field === undefined ? {} : { fieldPath: `.${field}` }),
      })),
    });

/** A list whose entries are told apart by `key` (an SSA list map). Two entries with one key are refused. */
export const listByKey = <S extends z.ZodType>(item: S, key: string & keyof z.output<S>, maxItems: number) =>
  z
    .array(item)
    .max(maxItems)
    .superRefine((items, context) => {
      const seen = new Set<unknown>();
      for (const [index, entry] of items.entries()) {
        if (seen.has(entry[key])) {
          context.addIssue({
            code: 'custom',
            message: 'must be unique in its list (duplicate name)',
            path: [index, key],
          });
        }
        seen.add(entry[key]);
      }
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });

/** A list of distinct scalars (an SSA set). */
export const setOf = <S extends z.ZodType>(item: S, bounds: { readonly min: number; readonly max: number }) =>
  z
    .array(item)
    .min(bounds.min)
    .max(bounds.max)
    .refine((items) => new Set(items).size === items.length, { error: 'must not repeat a value' })
    .meta({ 'x-kubernetes-list-type': 'set' });
