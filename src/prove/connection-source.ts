import type { Endpoint, OpenPlan } from './holder-protocol.ts';
import { newSocketAddress, type SocketCalls, writeSocketAddress } from './socket-calls.ts';

export interface Route {
  readonly target: Endpoint;
  /** How many connections went to this target before. */
  readonly position: number;
}

/**
 * Connection `index` (from 0) goes to the busiest target when the declared share of all so far, rounded up, grows by it,
 * and to the others in turn otherwise. Evenly over k targets: index ÷ k went to each before.
 */
export const routeFor = (plan: Pick<OpenPlan, 'targets' | 'busiestPercent'>, index: number): Route => {
  const { targets, busiestPercent } = plan;
  const count = targets.length;
  const at = (position: number): Endpoint => targets[position] ?? { ip: 0, port: 0 };
  if (busiestPercent === undefined || count < 2)
    return { target: at(index % count), position: Math.floor(index / count) };
  const busiest = Math.ceil((index * busiestPercent) / 100);
  if (Math.ceil(((index + 1) * busiestPercent) / 100) > busiest) return { target: at(0), position: busiest };
  const others = index - busiest;
  return { target: at(1 + (others % (count - 1))), position: Math.floor(others / (count - 1)) };
};

export interface ConnectionSource {
  /** Chooses the target and binds the socket to what the plan says; `failed` is -errno of bind(), or 0. */
  readonly prepare: (fd: number, index: number) => { readonly target: Endpoint; readonly failed: number };
}

/** Applies to each new socket before it is bound. */
const optionsFor = ({ source, sourceIps, synRetries }: OpenPlan) => [
  ...(synRetries === undefined ? [] : [['SynRetries', synRetries] as const]),
  ...(source.kind === 'Ports' ? [['ReuseAddress', 1] as const] : []),
  ...(source.kind === 'Kernel' && sourceIps.length > 0 ? [['BindAddressNoPort', 1] as const] : []),
  ...(source.kind === 'Kernel' && source.range !== undefined
    ? [['LocalPortRange', source.range[1] * 65_536 + source.range[0]] as const]
    : []),
];

export const connectionSourceFor = (calls: SocketCalls, plan: OpenPlan): ConnectionSource => {
  const own = newSocketAddress();
  const options = optionsFor(plan);
  const { source, sourceIps } = plan;
  const addresses = Math.max(1, sourceIps.length);
  return {
    prepare: (fd, index) => {
      const { target, position } = routeFor(plan, index);
      for (const [name, value] of options) calls.setOption(fd, name, value);
      if (sourceIps.length === 0 && source.kind === 'Kernel') return { target, failed: 0 };
      // Early binding has each address once for all targets, so it takes them in turn whatever the target is.
      const turn = source.kind === 'Early' ? index : position;
      const port = source.kind === 'Ports' ? source.low + (Math.floor(turn / addresses) % source.count) : 0;
      return { target, failed: calls.bind(fd, writeSocketAddress(own, sourceIps[turn % addresses] ?? 0, port)) };
    },
  };
};
