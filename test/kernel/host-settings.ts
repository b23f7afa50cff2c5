import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { changeHostSettings, type HostSettingName } from '../../src/prove/host-settings.ts';

/** The same in every run, so that a run after a killed one restores; not that of proofs, which tests also start. */
const directory = join(tmpdir(), 'connection-budget-test-settings');

/** A setting of the whole machine, as long as the block is using it; one at a time. */
export const hostSetting = async (
  name: HostSettingName,
  value: number,
): Promise<Disposable & { readonly value: number }> => {
  const change = await changeHostSettings([{ name, value }], { directory, signal: AbortSignal.timeout(60_000) });
  return { value, [Symbol.dispose]: () => change[Symbol.dispose]() };
};
