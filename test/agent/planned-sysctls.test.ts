import { describe, expect, test } from 'vitest';
import { agentSysctls, plannedSysctls } from '../../src/agent/planned-sysctls.ts';
import type { PlanSection } from '../../src/api/pod-annotation.ts';
import { sectionOf } from './plans.ts';

const allowed = new Set<string>(agentSysctls);
const outbound: PlanSection['flows'] = [{ name: 'broker', direction: 'Outbound', port: 1883, targets: [] }];

describe('plannedSysctls', () => {
  test('takes what may be set and says what may not', () => {
    const sysctls = { 'net.core.somaxconn': '5499', 'net.ipv4.ip_forward': '1' };
    expect(plannedSysctls(sectionOf({ sysctls }), { allowed, hasOwnNetwork: true })).toEqual({
      sysctls: [{ name: 'net.core.somaxconn', value: '5499', setBy: 'Agent' }],
      findings: [
        {
          kind: 'SysctlNotSettable',
          message: 'net.ipv4.ip_forward "1" planned; not among the sysctls that the agent may set',
        },
      ],
    });
  });

  test("sets nothing on the node's own network", () => {
    const { sysctls, findings } = plannedSysctls(sectionOf(), { allowed, hasOwnNetwork: false });
    expect(sysctls).toEqual([]);
    expect(findings).toMatchObject([{ kind: 'SysctlNotSettable' }]);
  });

  test("looks at the kubelet's port range where the pod opens connections", () => {
    const section = sectionOf({ sysctls: {}, flows: outbound, portRange: { low: 1024, high: 65535 } });
    expect(plannedSysctls(section, { allowed, hasOwnNetwork: true }).sysctls).toEqual([
      { name: 'net.ipv4.ip_local_port_range', value: '1024 65535', setBy: 'Kubelet' },
    ]);
    const inboundOnly = sectionOf({ sysctls: {}, portRange: { low: 1024, high: 65535 } });
    expect(plannedSysctls(inboundOnly, { allowed, hasOwnNetwork: true }).sysctls).toEqual([]);
  });

  test('sets the port range where the section leaves it to the agent', () => {
    const sysctls = { 'net.ipv4.ip_local_port_range': '1024 65535' };
    const section = sectionOf({ sysctls, flows: outbound, portRange: { low: 1024, high: 65535 } });
    expect(plannedSysctls(section, { allowed, hasOwnNetwork: true }).sysctls).toEqual([
      { name: 'net.ipv4.ip_local_port_range', value: '1024 65535', setBy: 'Agent' },
    ]);
  });
});
