import { memo, useEffect, useState } from 'react';
import { useClient, useMutation, useRecords } from 'porchlight/react';
import { labelOf, MODULES, shown } from './modules.js';
import { RecordForm } from './RecordForm.jsx';

/** The fields of a module, as the service describes them. */
function useFields(module) {
  const client = useClient();
  const [fields, setFields] = useState([]);
  useEffect(() => {
    let isCurrent = true;
    client.catalogue().then(({ modules }) => isCurrent && setFields(modules.find(({ name }) => name === module).fields), () => {});
    return () => {
      isCurrent = false;
    };
  }, [client, module]);
  return fields;
}

export function Dashboard({ module }) {
  const { title, name, columns } = MODULES[module];
  const fields = useFields(module);
  const [status, setStatus] = useState('');
  const [q, setQuery] = useState('');
  const [sort, setSort] = useState('-createdAt');
  const [openId, open] = useState(null);
  const list = useRecords(module, { filter: { status: status || undefined, q: q || undefined }, sort });
  const { create, error, reset } = useMutation(module);
  const statuses = fields.find((field) => field.name === 'status')?.values ?? [];
  const add = () => open(create({ [name]: `New ${title.slice(0, -1).toLowerCase()}`, status: statuses[0] }).recordId);
  return (
    <div className="dashboard">
      <section id={module}>
        <h1>{title}</h1>
        <Totals module={module} records={list.records} hasMore={list.hasMore} />
        <div className="tools">
          <select aria-label="Status" value={status} onChange={(event) => setStatus(event.target.value)}>
            <option value="">All</option>
            {statuses.map((one) => <option key={one}>{one}</option>)}
          </select>
          <select aria-label="Order" value={sort} onChange={(event) => setSort(event.target.value)}>
            <option value="-createdAt">Newest</option>
            {columns.map((column) => <option key={column} value={column}>{labelOf(column)}</option>)}
          </select>
          <input type="search" aria-label="Search" placeholder="Search" value={q} onChange={(event) => setQuery(event.target.value)} />
          <button onClick={add}>Add</button>
        </div>
        {error && <p className="banner" role="alert">{error.message} <button onClick={reset}>OK</button></p>}
        {list.status === 'error' && <p className="banner" role="alert">{list.error.message} <button onClick={list.reload}>Retry</button></p>}
        <table aria-busy={list.status === 'loading'}>
          <thead><tr>{[name, 'status', ...columns].map((column) => <th key={column}>{labelOf(column)}</th>)}</tr></thead>
          <tbody>
            {list.records.map((record) => (
              <Row key={record.id} record={record} columns={columns} name={name} isOpen={record.id === openId} onOpen={open} />
            ))}
          </tbody>
        </table>
        {list.hasMore && <button onClick={list.loadMore} disabled={list.isLoadingMore}>More</button>}
      </section>
      {openId && <RecordForm key={openId} module={module} id={openId} fields={fields} onClose={() => open(null)} />}
    </div>
  );
}

/** How many records have each status, and the sum of their prices: they change with every event. */
function Totals({ module, records, hasMore }) {
  const { total } = MODULES[module];
  const byStatus = Object.entries(Object.groupBy(records, ({ status }) => status));
  return (
    <ul className="totals">
      <li><b>{records.length}{hasMore && '+'}</b> in all</li>
      {byStatus.map(([status, own]) => <li key={status}><b>{own.length}</b> {status}</li>)}
      {total && <li><b>{shown(records.reduce((sum, record) => sum + Number(record[total] ?? 0), 0))}</b> {labelOf(total)}</li>}
    </ul>
  );
}

/** In `memo`: only the row whose record has changed is rendered again. */
const Row = memo(({ record, columns, name, isOpen, onOpen }) => (
  <tr id={record.id} aria-selected={isOpen} onClick={() => onOpen(record.id)}>
    <td><button className="link">{record[name]}</button></td>
    <td>{record.status}</td>
    {columns.map((column) => <td key={column}>{shown(record[column])}</td>)}
  </tr>
));
