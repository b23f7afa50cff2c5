/** Milliseconds of CPU time of this process, all its threads, since the call: what went on beside is in it. */
export function startCpuClock(): () => number {
  const began = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1000;
  };
}
