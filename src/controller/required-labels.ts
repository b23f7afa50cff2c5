import type { LabelSelector } from '../api/flows.ts';

/** A label that must be there with one of these values. */
export interface RequiredLabel {
  readonly key: string;
  readonly values: readonly string[];
}

/** What a selector asks for by name and value; the rest of it (NotIn, Exists, DoesNotExist) narrows but finds nothing. */
export const requiredLabels = ({
  matchLabels = {},
  matchExpressions = [],
}: LabelSelector): readonly RequiredLabel[] => [
  ...Object.entries(matchLabels).map(([key, value]) => ({ key, values: [value] })),
  ...matchExpressions.flatMap(({ key, operator, values = [] }) =>
    operator === 'In' ? [{ key, values: [...new Set(values)] }] : [],
  ),
];
