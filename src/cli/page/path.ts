import { numberText } from '../../planner/explain.ts';
import { liftOf } from '../../planner/lift.ts';
import type { InboundFlow, OutboundFlow } from '../../planner/demand.ts';
import type { Limit, Stage, Status } from '../../planner/limit.ts';
import type { PlannedBudget } from '../plan-json.ts';
import { barFor } from './bar.ts';
import { type Html, html } from './html.ts';
import { limitId, neededOf, statusPill } from './limits.ts';

/** One place that a connection passes, with the limits that it meets there. */
interface Station {
  readonly stage: Stage;
  readonly name: string;
  readonly limits: readonly Limit[];
  /** Said where it has no limit. */
  readonly otherwise: string;
}

const podStages: readonly Stage[] = ['Process', 'Socket', 'Namespace', 'Container', 'Node'];

const isInbound = (flow: InboundFlow | OutboundFlow): flow is InboundFlow => 'port' in flow;

const targetsText = ({ destinationAddresses, destinationPorts }: OutboundFlow): string => {
  const targets = destinationAddresses * destinationPorts;
  return `${numberText(targets)} ${targets === 1 ? 'target' : 'targets'}`;
};

const farEnd = (flow: InboundFlow | OutboundFlow): Pick<Station, 'stage' | 'otherwise'> =>
  isInbound(flow)
    ? { stage: 'Clients', otherwise: 'any number, assumed' }
    : { stage: 'Destination', otherwise: targetsText(flow) };

/** From the pod outwards; the translators of an inbound flow are declared as its connections meet them. */
const stationsFor = (flow: InboundFlow | OutboundFlow, limits: readonly Limit[]): readonly Station[] => {
  const outwards = isInbound(flow) ? flow.path.toReversed() : flow.path;
  const far = farEnd(flow);
  return [
    ...podStages
      .map((stage) => ({ stage, name: '', limits: limits.filter((limit) => limit.stage === stage), otherwise: '' }))
      .filter((station) => station.limits.length > 0),
    ...outwards.map(({ type, name }) => ({
      stage: type,
      name,
      limits: limits.filter(({ stage, subject }) => stage === type && (subject === name || subject === '')),
      otherwise: 'no limit of its own',
    })),
    { ...far, name: '', limits: limits.filter(({ stage }) => stage === far.stage) },
  ];
};

const gravest: readonly Status[] = ['Binding', 'Raised', 'Unknown', 'Sufficient'];

const usedOf = ({ needed, capacity = Infinity }: Limit): number => needed / Math.max(1, capacity);

/** What a station is judged by: the limit that binds first, else the gravest, else the fullest. */
const decisiveOf = ({ limits }: Station, bindingLimit: Limit | undefined): Limit | undefined =>
  limits.find((limit) => limit === bindingLimit) ??
  limits.toSorted((a, b) => gravest.indexOf(a.status) - gravest.indexOf(b.status) || usedOf(b) - usedOf(a))[0];

const stationItem = (section: string, planned: PlannedBudget, station: Station): Html => {
  const { demand, plan } = planned;
  const { stage, name, otherwise } = station;
  const heading = html`<b>${stage}</b>${name === '' ? undefined : html` <span class="name">${name}</span>`}`;
  const limit = decisiveOf(station, plan.bindingLimit);
  if (limit === undefined)
    return html`<li>
      <p class="place">${heading}</p>
      <p class="figures">${otherwise}</p>
    </li>`;
  const lift = liftOf(demand, plan, limit);
  const others = station.limits.length - 1;
  const isFirst = limit === plan.bindingLimit;
  return html`<li class="${limit.status.toLowerCase()}${isFirst ? ' first' : ''}">
    <p class="place">${heading} ${statusPill(limit)}</p>
    ${barFor({ ...limit, lifted: lift?.capacity })}
    <p class="figures">
      ${neededOf(limit, lift, (needed) => html`<a href="#${limitId(section, planned, limit)}">${needed}</a>`)}
    </p>
    ${others > 0 ? html`<p class="others">and ${others} more ${others === 1 ? 'limit' : 'limits'}</p>` : undefined}
  </li>`;
};

/** A limit that names no flows is met by all, unless it is said to be one's own. */
const meets = ({ concerns, flow }: Limit, name: string, index: number): boolean =>
  concerns === undefined ? flow === '' || flow === name : concerns.includes(index);

const flowFigure = (section: string, planned: PlannedBudget, index: number): Html => {
  const { demand, plan } = planned;
  const flow = [...demand.inbound, ...demand.outbound][index];
  if (flow === undefined) return html``;
  const limits = plan.limits.filter((limit) => meets(limit, flow.name, index));
  const direction = isInbound(flow) ? 'inbound' : 'outbound';
  const about = isInbound(flow) ? `accepted at port ${flow.port}` : 'opened by the pod';
  return html`<figure class="flow ${direction}">
    <figcaption><b>${direction} ${flow.name}</b> ${numberText(flow.connections)} connections ${about}</figcaption>
    <ol>
      ${stationsFor(flow, limits).map((station) => stationItem(section, planned, station))}
    </ol>
  </figure>`;
};

/** The way of each flow's connections, the pod at one end and the far end at the other. */
export const pathFigures = (section: string, planned: PlannedBudget): Html => {
  const flows = [...planned.demand.inbound, ...planned.demand.outbound];
  return html`<section>
    <h3>Path of a connection</h3>
    <p class="quiet">
      Bars show what is needed (solid) of what is there (track). A mark is what was there before the plan, hatched is
      missing, dashed is unknown.
    </p>
    ${flows.map((_, index) => flowFigure(section, planned, index))}
  </section>`;
};
