// Uses the Go client that openapi-generator makes: every kind of call, against a running Worker.
package main

import (
	"context"
	"fmt"
	"os"

	"example.com/todo/client"
)

// The largest id: more than 32 bits hold.
const largest int64 = 9007199254740991

func main() {
	if err := use(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func use() error {
	configuration := client.NewConfiguration()
	configuration.Servers = client.ServerConfigurations{{URL: os.Getenv("URL")}}
	configuration.AddDefaultHeader("Authorization", "Bearer "+os.Getenv("TOKEN"))
	api, ctx := client.NewAPIClient(configuration), context.Background()

	endpoint := *client.NewCreateEndpointRequest("Go", "https://receiver.example/hook")
	made, _, err := api.EndpointsAPI.CreateEndpoint(ctx).CreateEndpointRequest(endpoint).Execute()
	if err != nil {
		return fmt.Errorf("CreateEndpoint: %w", err)
	}
	id := made.Endpoint.Id
	todo := client.NewCreateTodoRequest("Buy milk 🥛")
	todo.SetId(largest)
	added, _, err := api.TodosAPI.CreateTodo(ctx).CreateTodoRequest(*todo).Endpoint(id).Execute()
	if err != nil || added.Todo.Id != largest {
		return fmt.Errorf("CreateTodo: %v %w", added, err)
	}
	second := client.NewCreateTodoRequest("Drink it")
	if _, _, err := api.TodosAPI.CreateTodo(ctx).CreateTodoRequest(*second).Execute(); err != nil {
		return fmt.Errorf("CreateTodo: %w", err)
	}
	change := client.NewUpdateTodoRequest()
	change.SetCompleted(true)
	if _, _, err := api.TodosAPI.UpdateTodo(ctx, largest).UpdateTodoRequest(*change).Execute(); err != nil {
		return fmt.Errorf("UpdateTodo: %w", err)
	}
	got, _, err := api.TodosAPI.GetTodo(ctx, largest).Execute()
	if err != nil || !got.Completed || got.Item != "Buy milk 🥛" {
		return fmt.Errorf("GetTodo: %v %w", got, err)
	}
	found, pages := 0, api.TodosAPI.ListTodos(ctx).Limit(1)
	for {
		page, _, err := pages.Execute()
		if err != nil {
			return fmt.Errorf("ListTodos: %w", err)
		}
		found += len(page.Data)
		// A page may be empty and still have a cursor.
		if page.Cursor == nil {
			break
		}
		pages = pages.Cursor(*page.Cursor)
	}
	if found != 2 {
		return fmt.Errorf("ListTodos: %d todos", found)
	}
	// The bodies of these are optional.
	if _, _, err := api.EndpointsAPI.PingEndpoint(ctx, id).Execute(); err != nil {
		return fmt.Errorf("PingEndpoint: %w", err)
	}
	if _, _, err := api.EndpointsAPI.RotateSecret(ctx, id).Execute(); err != nil {
		return fmt.Errorf("RotateSecret: %w", err)
	}
	if _, _, err := api.EndpointsAPI.CreatePortalLink(ctx).Execute(); err != nil {
		return fmt.Errorf("CreatePortalLink: %w", err)
	}
	if paused, _, err := api.EndpointsAPI.PauseEndpoint(ctx, id).Execute(); err != nil || paused.Status != "paused" {
		return fmt.Errorf("PauseEndpoint: %v %w", paused, err)
	}
	if active, _, err := api.EndpointsAPI.ActivateEndpoint(ctx, id).Execute(); err != nil || active.Status != "active" {
		return fmt.Errorf("ActivateEndpoint: %v %w", active, err)
	}
	// An operator gets another page than an owner.
	events, _, err := api.EventsAPI.ListEvents(ctx).Execute()
	if err != nil || len(events.EventPage.Data) == 0 {
		return fmt.Errorf("ListEvents: %w", err)
	}
	if _, _, err := api.EventsAPI.ReplayEvent(ctx, "none").Execute(); err == nil {
		return fmt.Errorf("ReplayEvent of one that is not there")
	}
	deliveries, _, err := api.DeliveriesAPI.ListDeliveries(ctx).Endpoint(id).Execute()
	if err != nil || len(deliveries.DeliveryPage.Data) == 0 {
		return fmt.Errorf("ListDeliveries: %w", err)
	}
	delivery := deliveries.DeliveryPage.Data[0].Id
	if got, _, err := api.DeliveriesAPI.GetDelivery(ctx, delivery).Execute(); err != nil || got.EndpointId != id {
		return fmt.Errorf("GetDelivery: %v %w", got, err)
	}
	if _, _, err := api.DeliveriesAPI.ResendDeliveries(ctx).Execute(); err != nil {
		return fmt.Errorf("ResendDeliveries: %w", err)
	}
	if _, _, err := api.TodosAPI.DeleteTodo(ctx, largest).Execute(); err != nil {
		return fmt.Errorf("DeleteTodo: %w", err)
	}
	if _, response, err := api.TodosAPI.GetTodo(ctx, largest).Execute(); err == nil || response.StatusCode != 404 {
		return fmt.Errorf("GetTodo of one that is gone: %w", err)
	}
	if _, _, err := api.EndpointsAPI.DeleteEndpoint(ctx, id).Execute(); err != nil {
		return fmt.Errorf("DeleteEndpoint: %w", err)
	}
	return nil
}
