import { test } from 'vitest';
import { brokerSeen, expectCondition, fitting, type Row, toOneAddress, toService } from './condition-rows.ts';
import { budgetOf, podOf, roomyNode, situationOf, withPods } from './situations.ts';

const rows: readonly Row[] = [
  {
    fact: 'a plan that fits with everything known is feasible',
    situation: fitting,
    type: 'Feasible',
    is: 'True PlanFits',
    says: ['20,000', '22,000'],
  },
  {
    fact: 'a plan without a node rests on something unverified',
    situation: { ...fitting, facts: undefined },
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['no node is known'],
  },
  {
    fact: 'a field of a newer version is said not to be planned',
    situation: { ...fitting, unknownFields: ['spec.sockets'] },
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['20,000', 'spec.sockets is not known to this version and is not planned'],
  },
  {
    fact: 'an unknown conntrack table is named with what it must hold',
    situation: { ...fitting, facts: { ...roomyNode, conntrackMax: undefined } },
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['net.netfilter.nf_conntrack_max is Unknown', 'entries'],
  },
  {
    fact: 'an endpoint that is not ready yet is an unverified assumption',
    situation: withPods(
      situationOf({
        budget: budgetOf(toService({ reachedBy: 'Endpoints' })),
        observed: brokerSeen(new Map([[1883, 0]])),
      }),
      {},
    ),
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['flow broker: no ready endpoint'],
  },
  {
    fact: 'more connections than one target has ports for binds, with both numbers and a remedy',
    situation: situationOf({ budget: budgetOf(toOneAddress(200_000)) }),
    type: 'Feasible',
    is: 'False LimitBinds',
    says: ['64,512 of 200,000', '220,000', 'Remedy'],
  },
  {
    fact: 'a Service that does not exist leaves it open',
    situation: situationOf({ budget: budgetOf(toService()) }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['messaging/broker', 'flow broker'],
  },
  {
    fact: 'a Service of another namespace is looked for there',
    situation: situationOf({
      budget: budgetOf(toService({ namespace: 'queues' })),
      observed: brokerSeen(new Map([[1883, 1]])),
    }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['queues/broker'],
  },
  {
    fact: 'a Service without the port leaves it open',
    situation: situationOf({ budget: budgetOf(toService()), observed: brokerSeen(new Map([[8883, 2]])) }),
    type: 'Feasible',
    is: 'Unknown DestinationNotFound',
    says: ['no port 1883'],
  },
  {
    fact: 'a container that the newest pod does not have leaves it open',
    situation: situationOf({ budget: budgetOf({ containers: [{ name: 'proxy' }] }), pods: [podOf()] }),
    type: 'Feasible',
    is: 'Unknown ContainerNotFound',
    says: ['gateway-1', 'proxy'],
  },
  {
    fact: 'a container is not missed before there is a pod',
    situation: situationOf({ budget: budgetOf({ containers: [{ name: 'proxy' }] }) }),
    type: 'Feasible',
    is: 'True AssumptionsUnverified',
    says: ['MemoryLimit'],
  },
];

test.each(rows)('$fact', expectCondition);
