// The content of an event in one line.

export function summaryOf({ type, changes, data, ...rest }) {
  const content = changes ?? data ?? (type.includes('snapshot') || type.startsWith('stream:') ? rest : null);
  if (content === null || typeof content !== 'object') return content === null ? '' : String(content);
  return Object.entries(content).map(([name, value]) => `${name}: ${short(value)}`).join(', ');
}

function short(value) {
  if (Array.isArray(value)) return `[${value.length}]`;
  if (value !== null && typeof value === 'object') return '{…}';
  return String(value);
}
