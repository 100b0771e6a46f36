// A list of 50 records that counts what React renders. `window.mount` and `window.unmount` begin and end it.
import { memo, Profiler, StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/profiling';
import { ConnectionBadge, PorchlightProvider, useLock, usePresence, useRecords, useTyping } from 'porchlight/react';

window.rendered = [];
window.seen = new Map();

const Row = memo(({ record }) => {
  useEffect(() => void window.seen.set(`${record.id} ${record.version}`, Date.now()));
  return <Profiler id={record.id} onRender={(id) => window.rendered.push(id)}><li id={record.id}>{record.city}</li></Profiler>;
});

function Rows() {
  const { records } = useRecords('escrows', { filter: { status: 'open' }, limit: 50 });
  return <ul>{records.map((record) => <Row key={record.id} record={record} />)}</ul>;
}

/** What has timers, listeners and requests of its own. */
function Form({ recordId }) {
  const { status } = useLock('escrows', recordId, { auto: true });
  usePresence({ viewing: { module: 'escrows', recordId } });
  const { type } = useTyping({ module: 'escrows', recordId });
  return <input id="form" data-lock={status} onChange={type} />;
}

let root;
window.mount = (url, recordId) => {
  root = createRoot(document.querySelector('main'));
  const token = () => localStorage.getItem('token');
  root.render(
    <StrictMode>
      <PorchlightProvider url={url} token={token}><ConnectionBadge /><Rows />{recordId && <Form recordId={recordId} />}</PorchlightProvider>
    </StrictMode>,
  );
};
window.unmount = () => root.unmount();
