/** Routes under /todo. */
import { EndpointQuery } from "../../src/schema.ts";
import { NewTodo, TodoListQuery, TodoPatch, TodoPath } from "../../src/todo/schema.ts";
import type { Operation } from "../operation.ts";

const item = "Setup a convoy webhook project and publish my first webhook";
const todo = { id: 1, item, completed: false };
const tag = "Todos";

/** Routes under /todo. */
export const TODO: Operation[] = [
  {
    method: "get",
    path: "/todo",
    id: "listTodos",
    tag,
    summary: "List todos",
    description: "Ordered by id. `endpoint` gets `retrieved`.",
    query: TodoListQuery,
    answers: {
      200: { description: "A page.", schema: "TodoPage", example: { data: [todo] } },
    },
  },
  {
    method: "post",
    path: "/todo",
    id: "createTodo",
    tag,
    summary: "Create a todo",
    description: "Publishes `created`. Without an id, the server chooses one.",
    query: EndpointQuery,
    body: { schema: NewTodo, example: { id: 1, item } },
    answers: {
      201: {
        description: "The todo.",
        schema: "TodoAdded",
        example: { data: "Todo added", todo },
        headers: ["Location", "X-Event-Id"],
        links: {
          getTodo: { id: "$response.body#/todo/id" },
          updateTodo: { id: "$response.body#/todo/id" },
          deleteTodo: { id: "$response.body#/todo/id" },
          getEvent: { id: "$response.header.X-Event-Id" },
        },
      },
    },
    errors: [404, 409],
  },
  {
    method: "get",
    path: "/todo/:id",
    id: "getTodo",
    tag,
    summary: "Read a todo",
    description: "`endpoint` gets `retrieved` or `failed`.",
    params: TodoPath,
    query: EndpointQuery,
    answers: { 200: { description: "The todo.", schema: "Todo", example: todo } },
    errors: [404],
  },
  {
    method: "put",
    path: "/todo/:id",
    id: "updateTodo",
    tag,
    summary: "Change a todo",
    description: "Changes the given fields; publishes `updated`.",
    params: TodoPath,
    query: EndpointQuery,
    body: { schema: TodoPatch, example: { completed: true } },
    answers: {
      200: {
        description: "Done.",
        schema: "Done",
        example: { data: "Todo with id 1 has been updated." },
        headers: ["X-Event-Id"],
      },
    },
    errors: [404],
  },
  {
    method: "delete",
    path: "/todo/:id",
    id: "deleteTodo",
    tag,
    summary: "Remove a todo",
    description: "Publishes `deleted`.",
    params: TodoPath,
    query: EndpointQuery,
    answers: {
      200: {
        description: "Done.",
        schema: "Done",
        example: { data: "Todo with id 1 has been removed." },
        headers: ["X-Event-Id"],
      },
    },
    errors: [404],
  },
];
