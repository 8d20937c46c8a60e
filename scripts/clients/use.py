"""Uses the Python client that openapi-generator makes: every kind of call, against a running Worker."""

import os

import todo_client as client
from todo_client.exceptions import NotFoundException

LARGEST = 9007199254740991

configuration = client.Configuration(host=os.environ["URL"], access_token=os.environ["TOKEN"])
with client.ApiClient(configuration) as connection:
    todos, endpoints = client.TodosApi(connection), client.EndpointsApi(connection)
    made = endpoints.create_endpoint(
        client.CreateEndpointRequest(name="Python", url="https://receiver.example/hook")
    )
    id = made.endpoint.id
    added = todos.create_todo(client.CreateTodoRequest(id=LARGEST, item="Buy milk 🥛"), endpoint=id)
    assert added.todo.id == LARGEST, added
    todos.create_todo(client.CreateTodoRequest(item="Drink it"))
    todos.update_todo(LARGEST, client.UpdateTodoRequest(completed=True))
    got = todos.get_todo(LARGEST)
    assert got.completed and got.item == "Buy milk 🥛", got
    found, cursor = 0, None
    while True:
        page = todos.list_todos(limit=1, cursor=cursor)
        found, cursor = found + len(page.data), page.cursor
        # A page may be empty and still have a cursor.
        if cursor is None:
            break
    assert found == 2, found
    # The bodies of these are optional.
    endpoints.ping_endpoint(id)
    endpoints.rotate_secret(id)
    endpoints.create_portal_link()
    assert endpoints.pause_endpoint(id).status == "paused"
    assert endpoints.activate_endpoint(id).status == "active"
    # An operator gets another page than an owner.
    assert client.EventsApi(connection).list_events().actual_instance.data
    deliveries = client.DeliveriesApi(connection)
    listed = deliveries.list_deliveries(endpoint=id).actual_instance.data
    assert deliveries.get_delivery(listed[0].id).endpoint_id == id
    deliveries.resend_deliveries()
    todos.delete_todo(LARGEST)
    try:
        todos.get_todo(LARGEST)
        raise AssertionError("a todo that is gone was found")
    except NotFoundException:
        pass
    endpoints.delete_endpoint(id)
