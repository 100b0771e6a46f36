import { useLock, usePresence, useRecord, useTyping } from 'porchlight/react';
import { labelOf, parsed } from './modules.js';

const INPUTS = { number: 'number', integer: 'number', date: 'date' };

/** One record: locked while it is edited, with those who see it too. Each field is written when it is left. */
export function RecordForm({ module, id, fields, onClose }) {
  const { status, record, pending, error, update, archive, remove } = useRecord(module, id);
  const lock = useLock(module, id);
  const ref = { module, recordId: id };
  const { viewers } = usePresence({ viewing: ref, editing: lock.isHeld ? ref : null });
  const { typing, type, stop } = useTyping(ref);
  if (!record) return <aside><p>{{ loading: 'Loading …', missing: 'This record is gone.', error: error?.message }[status]}</p><button onClick={onClose}>Close</button></aside>;
  const save = (field) => ({ target }) => {
    stop();
    const value = parsed(field, target.value);
    if (value !== (record[field.name] ?? null)) update({ [field.name]: value }).done.catch((refusal) => alert(refusal.message));
  };
  const isLocked = lock.heldBy !== null;
  return (
    <aside aria-label="Record">
      <p className="here">{viewers.map(({ userId }) => <i key={userId} title={userId}>{userId.slice(0, 2)}</i>)} {typing.length > 0 && `${typing.join(', ')} types …`}</p>
      {isLocked && (
        <p className="banner" role="alert">
          {lock.heldBy} edits this. <button onClick={lock.request}>Ask for it</button> <button onClick={() => lock.takeOver().catch((refusal) => alert(refusal.message))}>Take it over</button>
        </p>
      )}
      {lock.status === 'lost' && <p className="banner" role="alert">Your lock has ended: {lock.reason}. <button onClick={lock.acquire}>Lock again</button></p>}
      {lock.isRequested && lock.isHeld && <p className="banner" role="alert">{lock.requestedBy} waits for this. <button onClick={lock.release}>Give it</button></p>}
      <form onFocus={() => lock.status === 'idle' && lock.acquire().catch(() => {})} onSubmit={(event) => event.preventDefault()}>
        <fieldset disabled={isLocked}>
          {fields.filter(({ writer }) => writer === 'anybody').map((field) => (
            <label key={field.name}>
              {labelOf(field.name)}
              <Field field={field} value={record[field.name]} onSave={save(field)} onType={type} />
            </label>
          ))}
        </fieldset>
      </form>
      <p>Version {record.version}{pending.length > 0 && ', not saved yet'}</p>
      <button onClick={() => archive() && onClose()}>Archive</button> <button onClick={() => remove() && onClose()}>Delete</button> <button onClick={onClose}>Close</button>
    </aside>
  );
}

/** With another key when the value changes, so that the input shows it. */
function Field({ field, value, onSave, onType }) {
  const text = Array.isArray(value) ? value.join(', ') : value ?? '';
  if (field.values) return <select name={field.name} value={text} onChange={onSave}>{field.values.map((one) => <option key={one}>{one}</option>)}</select>;
  const leaveOnEnter = ({ key, target }) => key === 'Enter' && target.blur();
  return <input key={text} name={field.name} type={INPUTS[field.type] ?? 'text'} step="any" defaultValue={text} onBlur={onSave} onChange={onType} onKeyDown={leaveOnEnter} />;
}
