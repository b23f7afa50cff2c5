import type { Rlimit } from '../linux/libc.ts';
import type { NodeFacts } from '../linux/node-facts.ts';
import type { PluginState } from '../nri/plugin.ts';
import type { SeenNode } from './runtime-process.ts';

/** What the agent knows of its node and of the runtime there. */
export class NodeView {
  readonly #onChange: () => void;
  #facts: NodeFacts = { canRaiseNofile: false };
  #netnsPath = '';
  #sandboxNofile: Rlimit | undefined;
  #runtime = '';
  #isSynchronized = false;
  #obstacle = 'the agent has just started';

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get facts(): NodeFacts {
    return this.#facts;
  }

  /** The node's own network namespace. */
  get netnsPath(): string {
    return this.#netnsPath;
  }

  get sandboxNofile(): Rlimit | undefined {
    return this.#sandboxNofile;
  }

  /** Name and version; "" while the agent is not registered. */
  get runtime(): string {
    return this.#runtime;
  }

  get isSynchronized(): boolean {
    return this.#isSynchronized;
  }

  /** Why new pods do not pass through the agent; "" while they do. */
  get obstacle(): string {
    return this.#obstacle;
  }

  seeNode({ facts, netnsPath }: SeenNode): void {
    this.#facts = facts;
    this.#netnsPath = netnsPath;
    this.#onChange();
  }

  seeSandboxNofile(limit: Rlimit): void {
    this.#sandboxNofile = limit;
    this.#onChange();
  }

  seePlugin(plugin: PluginState): void {
    if (plugin.state === 'connecting') return;
    if (plugin.state === 'registered') this.#runtime = `${plugin.runtime.name} ${plugin.runtime.version}`.trim();
    if (plugin.state === 'lost') this.#runtime = '';
    this.#isSynchronized = plugin.state === 'synchronized';
    if (plugin.state === 'synchronized') this.#obstacle = '';
    if (plugin.state === 'lost') this.#obstacle = plugin.reason.message;
    this.#onChange();
  }

  /** Another agent has this node. */
  seeRival(): void {
    this.#obstacle = 'another agent of this node is still there';
  }

  /** The agent ends: what it published stays, and says so. */
  leave(): void {
    this.#runtime = '';
    this.#isSynchronized = false;
    this.#obstacle = 'the agent has ended';
  }
}
