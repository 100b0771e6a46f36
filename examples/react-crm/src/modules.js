// What the five dashboards show.
export const MODULES = {
  escrows: { title: 'Escrows', name: 'address', columns: ['city', 'purchasePrice', 'closeDate'], total: 'purchasePrice' },
  listings: { title: 'Listings', name: 'address', columns: ['city', 'listPrice', 'bedrooms'], total: 'listPrice' },
  clients: { title: 'Clients', name: 'name', columns: ['email', 'kind', 'budgetMax'], total: 'budgetMax' },
  appointments: { title: 'Appointments', name: 'title', columns: ['kind', 'startsAt', 'location'] },
  leads: { title: 'Leads', name: 'name', columns: ['source', 'score', 'budget'], total: 'budget' },
};

/** `purchasePrice`: Purchase price. */
export const labelOf = (name) => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/^./, (letter) => letter.toUpperCase());

export function shown(value) {
  if (typeof value === 'number') return value.toLocaleString('en-US');
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value)) return new Date(value).toLocaleString('en-US', { dateStyle: 'medium', timeStyle: 'short' });
  return value ?? '';
}

/** The value of an input, as the service wants it. */
export function parsed(field, text) {
  if (text === '') return null;
  if (field.type === 'number' || field.type === 'integer') return Number(text);
  if (field.type === 'texts') return text.split(',').map((word) => word.trim());
  return text;
}
