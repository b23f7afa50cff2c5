/** What the agent says of its own work. */
export interface AgentWork {
  /** In which the runtime waited for its answers while pods started. */
  readonly answerMs: number;
  readonly cpuMs: number;
}

export const noWork: AgentWork = { answerMs: 0, cpuMs: 0 };

const answers =
  /^connectionbudget_runtime_event_duration_seconds_sum\{event="(?:runPodSandbox|createContainer|postStartContainer)"\} (\S+)$/gm;
const cpu = /^process_cpu_seconds_total (\S+)$/gm;

/** Since its start. */
export async function readAgentWork(observability: string): Promise<AgentWork> {
  const text = await (await fetch(`${observability}/metrics`)).text();
  const sumMs = (series: RegExp) =>
    [...text.matchAll(series)].reduce((sum, [, value]) => sum + Number(value) * 1000, 0);
  return { answerMs: sumMs(answers), cpuMs: sumMs(cpu) };
}

export const workFor = (pods: number, before: AgentWork, after: AgentWork): AgentWork => ({
  answerMs: (after.answerMs - before.answerMs) / pods,
  cpuMs: (after.cpuMs - before.cpuMs) / pods,
});
