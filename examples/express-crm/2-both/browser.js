import { QueryClient } from '@tanstack/react-query';
import { startApp } from '../crm/App.jsx';
import { liveLists } from './live.js';

// The stream keeps the lists right, so they need not be loaded again when a window gets the focus.
startApp(liveLists(new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } })));
