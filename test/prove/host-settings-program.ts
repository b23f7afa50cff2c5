/** Changes a setting of the machine and stays. Arguments: directory of the record, name, value. */
import { type HostSettingName, changeHostSettings } from '../../src/prove/host-settings.ts';

const [directory = '', name, value] = process.argv.slice(2);
await changeHostSettings([{ name: name as HostSettingName, value: Number(value) }], {
  directory,
  signal: AbortSignal.timeout(10_000),
});
process.stdout.write('changed');
setInterval(() => undefined, 1000);
