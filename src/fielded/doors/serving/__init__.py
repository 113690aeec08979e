"""The API: a request is let in (`guard`), read (`request_model`), scored (`lifespan`) and answered (`routes`)."""
