import { isKubeError } from './kube-error.ts';

/**
 * A server-side apply with a field that the stored CRD does not declare is refused as a whole, with a line for each such field
 * (structured-merge-diff): `.status.pods[uid="a"].flows: field not declared in schema`.
 */
const refusal = /(?:^|\s)\.(\S+): field not declared in schema$/gm;

/** `status.pods.flows`: lists are passed over. None where something else was wrong. */
export function undeclaredFields(message: string): readonly string[] {
  const paths = [...message.matchAll(refusal)].map(([, path = '']) => path.replaceAll(/\[[^\]]*\]/g, ''));
  return [...new Set(paths)];
}

/**
 * Sends what is applied, and where the stored CRD is of an older version once more without the fields that it does not declare.
 * It may be upgraded at any time, so each write is tried whole first. Throws what `send` throws.
 */
export async function applyDeclared<T>(
  body: object,
  send: (body: object) => Promise<T>,
  onLeftOut: (fields: readonly string[]) => void,
): Promise<T> {
  try {
    return await send(body);
  } catch (error) {
    const fields = isKubeError(error) ? undeclaredFields(error.message) : [];
    if (fields.length === 0) throw error;
    onLeftOut(fields);
    return send(withoutFields(body, fields));
  }
}

export function withoutFields(object: object, paths: readonly string[]): object {
  return Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) => {
      if (paths.includes(key)) return [];
      const below = paths.flatMap((path) => (path.startsWith(`${key}.`) ? [path.slice(key.length + 1)] : []));
      return [[key, below.length === 0 ? value : withoutFieldsIn(value, below)]];
    }),
  );
}

function withoutFieldsIn(value: unknown, paths: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((entry) => withoutFieldsIn(entry, paths));
  return typeof value === 'object' && value !== null ? withoutFields(value, paths) : value;
}
