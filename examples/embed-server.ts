// Serves the tools from inside a program: here over the in-memory store, on stdin and stdout.
// Usage: node examples/embed-server.ts
import { createManager, InMemoryAgentGraph, InMemoryThreadStore, serveStdio, VERSION } from 'threadkeeper';

const warn = (message: string) => console.error(message);
const manager = createManager({ store: new InMemoryThreadStore(), graph: new InMemoryAgentGraph(), warn });
manager.listen((event) => console.error(`${event.type} ${event.threadId}`));
await serveStdio({ manager, readOnly: false, version: VERSION, log: warn });
await manager.close();
