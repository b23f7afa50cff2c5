import type { FlowReport } from '../api/connection-node.ts';

/** A change is a write to the API server, on every node; of few connections among many planned ones it is none. */
const changePercent = 5;
const leastChangePerMille = 1;

/** What is told of the flows now, after `before` was: a number stays until it has changed by 5 %. */
export function toldFlows(
  now: readonly FlowReport[],
  before: readonly FlowReport[] | undefined,
  plannedDescriptors: number,
): readonly FlowReport[] {
  return now.map((flow) => {
    const told = before?.find(({ name }) => name === flow.name);
    return {
      name: flow.name,
      connections: toldNumber(flow.connections, told?.connections, plannedDescriptors),
      timeWait: toldNumber(flow.timeWait, told?.timeWait, plannedDescriptors),
    };
  });
}

/**
 * The number that was told until it has changed by 5 %, and by a thousandth of the descriptors that are planned for the pod;
 * none and some are always told apart. Of 20,000 planned: 1,000 stay 1,000 up to 1,049; 100 stay 100 up to 119.
 */
export function toldNumber(now: number, before: number | undefined, plannedDescriptors: number): number {
  if (before === undefined || (now === 0) !== (before === 0)) return now;
  const step = Math.max((before * changePercent) / 100, (plannedDescriptors * leastChangePerMille) / 1000, 1);
  return Math.abs(now - before) < step ? before : now;
}
