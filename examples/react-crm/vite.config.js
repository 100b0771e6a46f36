import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `porchlight` is a folder of this repository here: it uses the React of this application, and may be served from where it is.
// With the package from a registry or a tarball, the last two settings can go.
export default defineConfig({
  plugins: [react()],
  resolve: { dedupe: ['react'] },
  server: { fs: { allow: ['../..'] } },
});
