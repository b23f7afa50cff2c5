/** Measures what looking costs, one look at a time: two at once would each be charged for both. */
export class CpuMeter {
  #turn: Promise<unknown> = Promise.resolve();

  /** Milliseconds of CPU time of this process, all its threads: what else it did meanwhile is in it. */
  async measure(look: () => Promise<void>): Promise<number> {
    const turn = this.#turn.then(() => measured(look));
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}

async function measured(look: () => Promise<void>): Promise<number> {
  const began = process.cpuUsage();
  await look();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
}
