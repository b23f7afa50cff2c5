import { expect, it } from 'vitest';
import { eventMaskFor, type PluginHandlers } from '../../src/nri/handlers.ts';

const nothing = (): undefined => undefined;
const least: PluginHandlers = { synchronize: nothing, createContainer: nothing };
const pods = { runPodSandbox: nothing, stopPodSandbox: nothing, removePodSandbox: nothing };

it.each([
  { what: 'createContainer', handlers: least, mask: 0b1000 },
  { what: 'and runPodSandbox', handlers: { ...least, runPodSandbox: nothing }, mask: 0b1001 },
  { what: 'and all of pods', handlers: { ...least, ...pods }, mask: 0b1111 },
  { what: 'and postStartContainer', handlers: { ...least, postStartContainer: nothing }, mask: 0b100_1000 },
  { what: 'and removeContainer', handlers: { ...least, removeContainer: nothing }, mask: 0b100_0000_1000 },
])('the event mask of $what asks for what has a handler', ({ handlers, mask }) => {
  expect(eventMaskFor(handlers)).toBe(mask);
});
