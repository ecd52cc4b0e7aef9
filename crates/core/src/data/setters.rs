//! The setters of settings.

/// Defines a setter for each field of a type.
macro_rules! setters {
    ($settings:ident: $($field:ident: $type:ty,)*) => {
        impl $settings {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

pub(super) use setters;
