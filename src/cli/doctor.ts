import { CannotHereError } from './cannot-here.ts';
import type { Diagnosis } from './doctor-diagnosis.ts';
import type { ObserveOptions } from './doctor-observe.ts';
import { InputError } from './input-file.ts';

export interface DoctorCommandOptions {
  readonly pid?: string;
  readonly netns?: string;
  readonly top: string;
  readonly all?: boolean;
}

/** A diagnosis, as an object and as text. */
export interface DoctorReport {
  readonly object: object;
  readonly text: string;
}

const parseTop = ({ top, all }: DoctorCommandOptions): number => {
  if (all === true) return Infinity;
  if (/^[1-9]\d{0,6}$/.test(top)) return Number(top);
  throw new InputError(`--top ${top}: must be a whole number from 1 to 9,999,999`);
};

/** What calls libc and what reads /proc is loaded for this command alone. */
const diagnosed = async (options: DoctorCommandOptions, looking: ObserveOptions): Promise<Diagnosis> => {
  if (process.platform !== 'linux') throw new CannotHereError(`the doctor needs Linux; this is ${process.platform}`);
  const { explainedFor, findTarget } = await import('./doctor-target.ts');
  const { observe } = await import('./doctor-observe.ts');
  const { diagnose } = await import('./doctor-diagnosis.ts');
  try {
    return diagnose(await observe(findTarget(options), looking));
  } catch (error) {
    throw explainedFor(options, error);
  }
};

/** @throws InputError, CannotHereError, LinuxError */
export const examine = async (options: DoctorCommandOptions, signal: AbortSignal): Promise<DoctorReport> => {
  const most = parseTop(options);
  const diagnosis = await diagnosed(options, { mostDestinations: most, signal });
  const { doctorJson } = await import('./doctor-json.ts');
  const { doctorText } = await import('./doctor-text.ts');
  return { object: doctorJson(diagnosis), text: doctorText(diagnosis, most) };
};
