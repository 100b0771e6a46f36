import { createRoot } from 'react-dom/client';
import { StrictMode } from 'react';
import { App } from './App.jsx';
import './style.css';

createRoot(document.body.appendChild(document.createElement('main'))).render(<StrictMode><App /></StrictMode>);
