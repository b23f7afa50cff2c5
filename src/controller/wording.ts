/** Pieces of the sentences in conditions. */

/** The CRD takes messages of at most 1024 characters. */
const longestMessage = 1024;

/** Cut off where it is too long, and well-formed even where a pair was cut: the API server stores nothing else. */
export const shortened = (text: string, longest = longestMessage): string =>
  (text.length <= longest ? text : `${text.slice(0, longest - 1)}…`).toWellFormed();

/** "1 pod", "3 pods" */
export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** "1 of 3 pods carries", "2 of 3 pods carry" */
export const agreeing = (count: number, one: string, many: string): string => (count === 1 ? one : many);

const mostListed = 3;

/** "a, b, c and 4 more" */
export const listed = (names: readonly string[], { separator = ', ' } = {}): string => {
  const shown = names.slice(0, mostListed).join(separator);
  return names.length <= mostListed ? shown : `${shown} and ${names.length - mostListed} more`;
};
