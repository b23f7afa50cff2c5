import { describe, expect, it } from 'vitest';
import type { Demand, OutboundFlow, PortRange } from '../../src/planner/demand.ts';
import { defaultPortRange } from '../../src/planner/kernel.ts';
import { openProofSpreader, spreadingFor } from '../../src/prove/proof-spread.ts';
import { topologyFor } from '../../src/prove/topology.ts';
import { demand, outbound } from '../planner/demands.ts';
import { hundredPorts, spreadExperiment, stateOf } from './experiment.ts';

interface Setting {
  readonly portRange?: PortRange;
  readonly spread?: 'Transparent' | 'Application';
}

const portsRunOut = { stage: 'Socket', limit: 'net.ipv4.ip_local_port_range', errno: 99 };

const podWith = (
  flow: Partial<OutboundFlow>,
  { portRange = hundredPorts, spread = 'Transparent' }: Setting = {},
): Demand =>
  demand({
    pod: { hostNetwork: false, declaredPorts: [], portRange, kubeletReservesPorts: true },
    extraAddresses: { ...demand().extraAddresses, maximumExtra: 3, spread },
    outbound: [outbound({ connections: 150_000, ...flow })],
  });

describe('a program of a proof that binds nothing', () => {
  it.each([
    { fact: 'ports and addresses by us', flow: { portSelection: 'Spread' } as const },
    { fact: 'addresses by us, ports by the kernel', flow: { portSelection: 'Kernel' } as const },
    { fact: 'two destinations', flow: { portSelection: 'Spread', destinationAddresses: 2 } as const, targets: 2 },
  ])('has m · k · P connections: $fact', async ({ flow, targets = 1 }) => {
    const expected = { reached: 4 * targets * 100, stoppedBy: portsRunOut };
    const { predicted, seen, note } = await spreadExperiment(podWith(flow));
    expect({ predicted, seen, note }).toEqual({ predicted: expected, seen: expected, note: undefined });
  });

  it('has 4 × 28,232 with four addresses and the default range', async () => {
    const { predicted, seen } = await spreadExperiment(
      podWith({ portSelection: 'Spread' }, { portRange: defaultPortRange }),
    );
    expect(seen).toEqual({ reached: 4 * 28_232, stoppedBy: portsRunOut });
    expect(predicted).toEqual(seen);
  });

  it('is spread by itself where it binds to its addresses', () => {
    const pod = podWith({ portSelection: 'Kernel' }, { spread: 'Application' });
    expect(spreadingFor(pod, stateOf(pod).plan)).toBeUndefined();
  });
});

describe('where nothing can be loaded', () => {
  it('the program chooses for itself, and the proof says why', () => {
    const state = stateOf(podWith({ portSelection: 'Spread' }));
    const spreading = spreadingFor(state.demand, state.plan);
    using proof = openProofSpreader(spreading, '/nowhere/spread.bpf.o');
    expect(proof.spreader).toBeUndefined();
    expect(proof.note).toContain('cannot open the eBPF object /nowhere/spread.bpf.o: ENOENT');
    const [flow] = topologyFor(state).flows;
    expect(flow?.open.sourceIps).toHaveLength(4);
    expect(flow?.open.source).toEqual({ kind: 'Kernel', range: [hundredPorts.low, hundredPorts.high] });
  });

  it('a plan that spreads nothing says nothing', () => {
    const pod = demand({ outbound: [outbound({ connections: 10, portSelection: 'Kernel' })] });
    const spreading = spreadingFor(pod, stateOf(pod).plan);
    using proof = openProofSpreader(spreading, undefined);
    expect({ spreading, note: proof.note }).toEqual({ spreading: undefined, note: undefined });
  });
});
