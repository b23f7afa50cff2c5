import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';

export interface NetworkNamespace extends Disposable {
  readonly name: string;
  readonly path: string;
}

/** A real network namespace with its loopback up, deleted at the end of the block that is `using` it. */
export function makeNetworkNamespace(): NetworkNamespace {
  const name = `connbudget-${randomUUID().slice(0, 8)}`;
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  return {
    name,
    path: `/run/netns/${name}`,
    [Symbol.dispose]: () => void execFileSync('ip', ['netns', 'delete', name]),
  };
}
