/** What a line of a log must not be; of all lines each fault once. */
export function logFaults(lines: readonly object[]): readonly string[] {
  return [...new Set(lines.flatMap(faultsOf))];
}

const camelCase = /^[a-z][A-Za-z0-9]*$/;
const levels = ['debug', 'info', 'warn', 'error'] as const;

function faultsOf(line: object): readonly string[] {
  const { level, time, name, message } = line as Readonly<Record<string, unknown>>;
  const text = typeof message === 'string' ? message : '';
  return [
    ...keysOf(line).flatMap((key) => (camelCase.test(key) ? [] : [`the key ${key} is not lowerCamelCase`])),
    ...(levels.some((known) => known === level) ? [] : [`the level ${String(level)} is none`]),
    ...(typeof time === 'string' && !Number.isNaN(Date.parse(time)) ? [] : ['a line has no time']),
    ...(typeof name === 'string' ? [] : [`"${text}" does not say which program writes`]),
    ...(/[0-9{}]/.test(text) || text === '' ? [`"${text}" is no constant sentence`] : []),
  ];
}

const keysOf = (value: unknown): readonly string[] => {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(keysOf);
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
};
