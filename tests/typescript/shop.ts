// A shop's round trip through clients that a stock generator made from the two OpenAPI documents.
// Prints one line of JSON: what tests/e2e/test_generated_client.py expects.
import { ApiError, DefaultService as Commands, OpenAPI as CommandApi } from "./command";
import type { Order, Product } from "./command";
import { DefaultService as Queries, OpenAPI as QueryApi } from "./query";

declare const process: { argv: string[]; exitCode: number };

async function trade(): Promise<Record<string, unknown>> {
  const customer = await Commands.postCustomers({ name: "Ann", email: "ann@example.com" }, "ts/ann");
  const again = await Commands.postCustomers({ name: "Ann", email: "ann@example.com" }, "ts/ann");
  const product: Product = await Commands.postProducts({ name: "Lamp", price: "0.425", stock: 10 });
  const order: Order = await Commands.postOrders({
    customerId: customer.customerId,
    orderItems: [{ productId: product.productId, quantity: 4 }],
  });
  let refusal = { status: 0, type: "" };
  try {
    await Commands.postOrders({
      customerId: customer.customerId,
      orderItems: [{ productId: product.productId, quantity: 40 }],
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    refusal = { status: error.status, type: error.body.type };
  }
  const log = await Commands.getEvents(`product-${product.productId}`);
  const position = String(log.items[log.items.length - 1].position);
  const read = await Queries.getOrdersOrderId(order.orderId, undefined, position, "wait=30");
  const found = await Queries.getProducts(1, undefined, "lamp", "-id");
  const total = await Queries.getAnalyticsTotalSales();
  await Commands.deleteOrdersOrderId(order.orderId);
  return {
    isSame: again.customerId === customer.customerId,
    totalPrice: read.totalPrice,
    customerName: read.customerName,
    lines: read.orderItems.map((item) => item.quantity),
    refusal,
    found: found.items[0].productId === product.productId,
    hasSales: total.orders >= 1,
  };
}

CommandApi.BASE = process.argv[2];
QueryApi.BASE = process.argv[3];
trade().then(
  (facts) => console.log(JSON.stringify(facts)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
