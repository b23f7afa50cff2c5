/** Names that several parts and the users' manifests share. */

export const group = 'connectionbudget.io';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

export const enabledLabel = `${group}/enabled`;
export const planAnnotation = `${group}/plan`;

export const controllerFieldManager = 'connectionbudget-controller';
export const webhookFieldManager = 'connectionbudget-webhook';
export const agentFieldManager = 'connectionbudget-agent';

export const budgetPlural = 'connectionbudgets';
export const nodePlural = 'connectionnodes';
