import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { Demand, Translator } from '../../src/planner/demand.ts';
import { runPhase } from '../../src/prove/phase-run.ts';
import { predictionFor } from '../../src/prove/prediction.ts';
import { reachFor } from '../../src/prove/proof.ts';
import { type Topology, topologyFor } from '../../src/prove/topology.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { demand, extra, outbound } from '../planner/demands.ts';
import { experiment, hundredPorts, stateOf } from './experiment.ts';

const pod: Demand['pod'] = {
  hostNetwork: false,
  declaredPorts: [],
  portRange: hundredPorts,
  kubeletReservesPorts: true,
};
const gateway = (addresses: number, portsPerAddress: number): readonly Translator[] => [
  {
    type: 'NAT',
    name: 'gateway',
    addresses,
    portsPerAddress,
    sharedBy: 'Pod',
    lingerSeconds: 0,
    idleTimeoutSeconds: undefined,
  },
];
const translatorRunsOut = { stage: 'NAT', limit: 'TranslatorPorts', errno: 110 };
const portsRunOut = { stage: 'Socket', limit: 'net.ipv4.ip_local_port_range', errno: 99 };

// P = 100 ports an address; N = what the gateway has.
describe('extra source addresses before a gateway', () => {
  it.each([
    { fact: 'none is planned past its own N = 60 < P', path: gateway(1, 60), connections: 90, total: 1, reached: 60 },
    {
      fact: 'two reach N = 160 > P, a third nothing more',
      path: gateway(2, 80),
      connections: 190,
      total: 2,
      reached: 160,
    },
  ])('$fact', async ({ path, connections, total, reached }) => {
    const base = demand({ pod, ...extra(3), outbound: [outbound({ connections, path })] });
    const { predicted, seen } = await experiment(base);
    expect(stateOf(base).plan.sourceAddresses.total).toBe(total);
    expect(predicted).toEqual({ reached, stoppedBy: translatorRunsOut });
    expect(seen).toEqual(predicted);
  });

  it('one extra lifts what one address cannot fill', async () => {
    const flow = outbound({ connections: 150, path: gateway(2, 80) });
    const alone = await experiment(demand({ pod, outbound: [flow] }));
    const two = await experiment(demand({ pod, ...extra(3), outbound: [flow] }));
    expect(alone.predicted).toEqual({ reached: 100, stoppedBy: portsRunOut });
    expect(two.predicted).toEqual({ reached: 150, stoppedBy: null });
    expect([alone.seen, two.seen]).toEqual([alone.predicted, two.predicted]);
  });
});

/** The router on the way turns one address into two backends in turn, as a ClusterIP does: the pod sees one target. */
const behindClusterIp = (topology: Topology): Topology => ({
  ...topology,
  flows: topology.flows.map((flow) => ({ ...flow, translators: [] })),
  namespaces: topology.namespaces.map((namespace) =>
    namespace.name === 'router-1'
      ? {
          ...namespace,
          rules: [
            'table ip proof {',
            '  chain service {',
            '    type nat hook prerouting priority dstnat;',
            '    ip daddr 100.64.0.1 meta l4proto tcp dnat to numgen inc mod 2 map { 0 : 100.64.1.1, 1 : 100.64.1.2 }',
            '  }',
            '}',
            '',
          ].join('\n'),
        }
      : namespace,
  ),
});

it.each([
  { most: 0, reached: 100 },
  { most: 2, reached: 300 },
])('to a ClusterIP of two backends $most extra addresses reach $reached = m · P', async ({ most, reached }) => {
  const flow = outbound({ connections: 400, targets: ['ClusterIP messaging/broker:1883'] });
  const state = stateOf(demand({ pod, ...extra(most), outbound: [flow] }));
  const passed = stateOf(demand({ pod, ...extra(most), outbound: [{ ...flow, path: gateway(1, 60_000) }] }));
  const topology = behindClusterIp({ ...topologyFor(passed), flows: topologyFor(state).flows });
  const predicted = predictionFor(state);
  const result = await runPhase(state, topology, {
    signal: AbortSignal.timeout(60_000),
    onProgress: () => undefined,
  });
  expect(predicted).toEqual({ reached, stoppedBy: portsRunOut });
  expect(reachFor(result, topology, predicted)).toEqual(predicted);
});

it('sockets that the program binds itself have one address under a transparent spread', async () => {
  const base = demand({ pod, ...extra(2), outbound: [outbound({ connections: 300, binding: 'Early' })] });
  const { predicted, seen } = await experiment(base);
  expect(predicted).toEqual({ reached: 100, stoppedBy: { ...portsRunOut, errno: 98 } });
  expect(seen).toEqual(predicted);
});

/** How many sockets of a namespace with a hundred ports get one by bind(address, 0), on each address in turn. */
const boundOn = (...ips: readonly string[]): unknown => {
  using namespace = makeNetworkNamespace();
  const { low, high } = hundredPorts;
  const inside = ['netns', 'exec', namespace.name];
  const setRange = `echo '${low} ${high}' > /proc/sys/net/ipv4/ip_local_port_range`;
  execFileSync('ip', [...inside, 'sh', '-c', setRange]);
  const bindAll = `
    const bound = (ip) => new Promise((resolve) => {
      const more = (count) => require('node:net').createServer().on('error', () => resolve(count)).listen(0, ip, () => more(count + 1));
      more(0);
    });
    (async () => {
      const counts = [];
      for (const ip of ${JSON.stringify(ips)}) counts.push(await bound(ip));
      console.log(JSON.stringify(counts));
      process.exit(0);
    })();`;
  return JSON.parse(String(execFileSync('ip', [...inside, process.execPath, '-e', bindAll])));
};

it('bind(address, 0) has the ports of each address, and of each family, for itself', () => {
  expect(boundOn('127.0.0.1', '::1')).toEqual([100, 100]);
  expect(boundOn('127.0.0.1', '127.0.0.2', '127.0.0.1')).toEqual([100, 100, 0]);
});
