//! Lots for operators: open, change and close them.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use minijinja::{Value, context};
use shared::{
    Error, Result,
    app::App,
    base::{currency::Currency, money::Money, page::Page},
    parking::{
        audit::Actor,
        bookings,
        lots::{self, Lot, LotChange, Moment, NewLot, Sort, When},
    },
    platform::idempotency::Idempotency,
};

use super::super::{
    form::Form,
    views,
    visitor::{Visitor, see},
};
use crate::{
    http::{params::Path, problem::Answer},
    state::ApiState,
};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/admin/lots", get(list).post(create))
        .route("/ui/admin/lots/new", get(show_new))
        .route("/ui/admin/lots/{id}", get(show).post(change))
        .route("/ui/admin/lots/{id}/close", post(close))
}

async fn list(State(app): State<App>, visitor: Visitor) -> Answer<Response> {
    let all = lots::list(&app, &Page::default(), When::Now(Moment::of(&app))).await?.items;
    let lots: Vec<Value> = lots::search(all, "", Sort::Name).iter().map(views::lot).collect();
    visitor.page("admin/lots.html", context! { lots })
}

/// The fields of a lot as the form has them.
fn fields(lot: &Lot) -> Value {
    context! {
        location_name => &lot.location_name, address => &lot.address, pincode => &lot.pincode,
        price => Currency::installed().digits(lot.price.minor()), number_of_slots => lot.number_of_slots,
    }
}

async fn show_new(visitor: Visitor) -> Answer<Response> {
    visitor.page("admin/lot.html", context! { lot => (), known => context! {} })
}

async fn page(app: &App, id: i64) -> Result<Value> {
    let lot = lots::find(app, id, When::Now(Moment::of(app))).await?;
    Ok(context! { lot => views::lot(&lot), known => fields(&lot), etag => lots::etag(&lot) })
}

async fn show(State(app): State<App>, visitor: Visitor, Path(id): Path<i64>) -> Answer<Response> {
    visitor.page("admin/lot.html", page(&app, id).await?)
}

fn price(form: &Form) -> Result<Money> {
    Money::read(form.text("price")).map_err(|why| Error::invalid("/price", why))
}

fn new_lot(form: &Form) -> Result<NewLot> {
    Ok(NewLot {
        location_name: form.text("location_name").to_owned(),
        price: price(form)?,
        address: form.text("address").to_owned(),
        pincode: form.text("pincode").to_owned(),
        number_of_slots: form.integer("number_of_slots")?,
    })
}

async fn create(State(app): State<App>, visitor: Visitor, form: Form) -> Answer<Response> {
    let by = Actor::from(&visitor.user()?);
    let created = async { lots::create(&app, &by, new_lot(&form)?, Idempotency::none()).await };
    match created.await {
        Ok(_) => Ok(see("/ui/admin/lots?done=lot-created")),
        Err(error) => {
            visitor.rejected("admin/lot.html", error, &form, context! { lot => (), known => context! {} })
        }
    }
}

async fn change(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let by = Actor::from(&visitor.user()?);
    let changed = async {
        let NewLot { location_name, price, address, pincode, number_of_slots } = new_lot(&form)?;
        let change = LotChange {
            location_name: Some(location_name),
            price: Some(price),
            address: Some(address),
            pincode: Some(pincode),
            number_of_slots: Some(number_of_slots),
        };
        // Fails if the lot was changed after the form was opened.
        lots::update(&app, &by, id, change, form.optional("etag").as_deref()).await
    };
    match changed.await {
        Ok(_) => Ok(see("/ui/admin/lots?done=lot-changed")),
        Err(error) => visitor.rejected("admin/lot.html", error, &form, page(&app, id).await?),
    }
}

async fn close(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<i64>,
    form: Form,
) -> Answer<Response> {
    let by = Actor::from(&visitor.user()?);
    let done = if form.is_ticked("sure") {
        bookings::archive_lot(&app, &by, id).await
    } else {
        Err(Error::invalid("/sure", "must be ticked"))
    };
    match done {
        Ok(()) => Ok(see("/ui/admin/lots?done=lot-closed")),
        Err(error) => visitor.rejected("admin/lot.html", error, &form, page(&app, id).await?),
    }
}
