import type { JsonPatchStep } from '../../src/kube/calls.ts';

type Json = Record<string, unknown>;

const unescaped = (token: string): string => token.replaceAll('~1', '/').replaceAll('~0', '~');

/** RFC 6902 for what the webhook sends: add and remove of a member; a parent that is missing throws, as at the server. */
export const patched = <T extends object>(object: T, steps: readonly JsonPatchStep[]): T => {
  const copy = structuredClone(object);
  for (const { op, path, value } of steps) {
    const tokens = path.slice(1).split('/').map(unescaped);
    const last = tokens.pop() ?? '';
    const parent = tokens.reduce<Json>((node, token) => {
      expectMember(node, token);
      return node[token] as Json;
    }, copy as Json);
    ({
      add: () => Object.assign(parent, { [last]: structuredClone(value) }),
      remove: () => {
        expectMember(parent, last);
        Reflect.deleteProperty(parent, last);
      },
    })[op as 'add' | 'remove']();
  }
  return copy;
};

const expectMember = (node: Json, token: string): void => {
  if (!(token in node)) throw new Error(`no ${token} in ${Object.keys(node).join(', ')}`);
};
