import type { z } from 'zod';
import { printable } from './printable.ts';

/** One broken rule of a user's input: which field, which value, which rule. */
export interface Violation {
  /** Dot path from the object's root, such as `spec.inbound[0].port`; printable, for its names may be anybody's. */
  readonly field: string;
  /** The value as the user wrote it, as JSON, shortened; undefined where the field is missing. */
  readonly value: string | undefined;
  readonly rule: string;
}

const longestValue = 80;

const shortened = (text: string): string => (text.length > longestValue ? `${text.slice(0, longestValue)}…` : text);

const nameOf = (key: PropertyKey): string => printable(shortened(String(key)));

const fieldFor = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((field, key) => {
    if (typeof key === 'number') return `${field}[${key}]`;
    return field === '' ? nameOf(key) : `${field}.${nameOf(key)}`;
  }, '');

const valueAt = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    input,
  );

/** JSON.stringify calls itself for each level, and a user's object may have more than the stack. */
const jsonOf = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value);
  } catch {
    return '…';
  }
};

const shown = (value: unknown): string | undefined => {
  const isNoJson = typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value));
  const text = isNoJson ? String(value) : jsonOf(value);
  return text === undefined ? undefined : printable(shortened(text));
};

type Issue = z.core.$ZodIssue;

const boundRule = (issue: Issue & { code: 'too_small' | 'too_big' }): string => {
  const bound = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
  if (issue.origin === 'string') return `must have ${bound} characters`;
  return issue.origin === 'array' ? `must have ${bound} entries` : `must be ${bound}`;
};

const ruleFor = (issue: Issue, value: unknown): string => {
  switch (issue.code) {
    case 'too_small':
    case 'too_big':
      return boundRule(issue);
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_type':
      if (value === undefined) return 'is required';
      return issue.expected === 'int' ? 'must be a whole number' : `must be of type ${issue.expected}`;
    case 'invalid_union':
      return 'must be a quantity of bytes, 0 or more, such as 16Ki';
    default:
      return issue.message;
  }
};

const violationsFor = (input: unknown, issue: Issue): readonly Violation[] => {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      field: fieldFor([...issue.path, key]),
      value: shown(valueAt(input, [...issue.path, key])),
      rule: 'unknown field',
    }));
  }
  const value = valueAt(input, issue.path);
  return [{ field: fieldFor(issue.path), value: shown(value), rule: ruleFor(issue, value) }];
};

export const violationsOf = (input: unknown, error: z.ZodError): readonly Violation[] =>
  error.issues.flatMap((issue) => violationsFor(input, issue));

/** `70000: must be at most 65535` */
export const violationReason = ({ value, rule }: Violation): string =>
  value === undefined ? rule : `${value}: ${rule}`;

/** `spec.inbound[0].port: 70000: must be at most 65535` */
export const violationText = (violation: Violation): string => `${violation.field}: ${violationReason(violation)}`;
