//! The attribute for tests that run on both databases. Use it through `testkit`.

use proc_macro::TokenStream;
use quote::quote;
use syn::{ItemFn, parse_macro_input};

/// Runs `async fn name(t: TestApp)` as `name::sqlite` and `name::postgres`.
///
/// With a second parameter, `redis: Redis`, the application has a separate Redis that the test may stop.
/// `#[both_databases(together)]` runs both concurrently, as `name::together`: for tests that mostly wait.
#[proc_macro_attribute]
pub fn both_databases(options: TokenStream, item: TokenStream) -> TokenStream {
    let runs_together = options.to_string() == "together";
    let ItemFn { attrs, sig, block, .. } = parse_macro_input!(item as ItemFn);
    let (name, inputs) = (&sig.ident, &sig.inputs);
    let run = if inputs.len() == 2 {
        quote!(async |engine| {
            let (t, redis) = ::testkit::TestApp::start_with_redis(engine).await;
            run(t, redis).await;
        })
    } else {
        quote!(async |engine| run(::testkit::TestApp::start(engine).await).await)
    };
    let tests = if runs_together {
        quote! {
            #[tokio::test(flavor = "multi_thread")]
            async fn together() {
                ::testkit::together(#run).await;
            }
        }
    } else {
        quote! {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                (#run)(::testkit::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                (#run)(::testkit::Engine::Postgres).await;
            }
        }
    };
    quote! {
        #(#attrs)*
        mod #name {
            #[allow(unused_imports, clippy::allow_attributes)]
            use super::*;

            async fn run(#inputs) #block

            #tests
        }
    }
    .into()
}
